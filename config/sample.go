package config

import _ "embed"

//go:embed sample.yaml
var sample string

// Sample is a commented file to start from. It is valid as it is; what it sets
// that could be left out has the default's value.
func Sample() string { return sample }
