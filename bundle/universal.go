// Bundle joins Mach-O programs for several processors into the one file that macOS picks from:
//
//	go run ./bundle OUT AMD64 ARM64
package main

import (
	"fmt"
	"os"

	macho "github.com/anchore/go-macholibre"
)

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: bundle OUT PROGRAM PROGRAM...")
		os.Exit(2)
	}
	if err := macho.Package(os.Args[1], os.Args[2:]...); err != nil {
		fmt.Fprintln(os.Stderr, "bundle: "+err.Error())
		os.Exit(1)
	}
}
