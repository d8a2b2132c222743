// Package sample holds the data set that the reference application ships: see
// SOURCE.md and LICENSE beside it. It reads nothing of it. Only profilejob and
// the Reports pages use it.
package sample

import _ "embed" // the data set

// Name is the file's name.
const Name = "wildlife-strikes.csv"

// CSV is the file's content.
//
//go:embed wildlife-strikes.csv
var CSV string
