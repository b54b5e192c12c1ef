// Package terraform_test holds the Terraform configuration to what it promises,
// without Terraform, a provider or an account: it evaluates the configuration's
// own expressions with the library that Terraform is built on, gives the modules
// what the provider would have answered, and looks at what comes out.
//
// What it can't see is whether the provider agrees: that is terraform validate's
// and terraform test's part (tests/), which need the provider's binary.
package terraform_test
