//go:build race

package bot_test

import "flag"

// What is drawn at random is rendering, which no two goroutines share: under the
// race detector it takes many times as long, and finds nothing more. The flag
// itself still outweighs this.
func init() {
	if err := flag.Set("rapid.checks", "20"); err != nil {
		panic(err)
	}
}
