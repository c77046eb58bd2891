// Package prosody holds mod_bindgate, the gate module for Prosody 0.12 and 13.0, so that programs which start a
// Prosody of their own (the demo, the tests, the benchmarks) carry the module they were built with.
package prosody

import "embed"

// Module is the plugin directory: mod_bindgate.lua and its parts in mod_bindgate/.
//
//go:embed mod_bindgate.lua mod_bindgate
var Module embed.FS
