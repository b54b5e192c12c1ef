// Package vultrfake is a small part of Vultr's API on loopback, for tests: the
// instances of an account with their power, and the records of its DNS domains.
// Its answers have the shapes of Vultr's public OpenAPI document, see
// testdata/shapes.txt; a test holds them to it. It can be told to lie.
//
// No program imports it.
package vultrfake
