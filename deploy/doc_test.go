// Package deploy_test runs the recipes of the Justfile and the scripts behind them:
// by the real just, against programs that only note how they were called. What the
// recipes do on real clusters is shown end to end, in e2e_test.go.
package deploy_test
