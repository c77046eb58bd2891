// Package ejabberd holds mod_bindgate, the gate module for ejabberd 23.01 and newer, so that programs which start an
// ejabberd of their own (the tests, the benchmarks) carry the module they were built with.
package ejabberd

import "embed"

// Module is the package as ejabberdctl module_install takes it: a directory named mod_bindgate under sources/.
//
//go:embed mod_bindgate.spec conf src
var Module embed.FS
