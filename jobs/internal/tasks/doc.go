// Package tasks is everything that jobs knows of the insides of Asynq. What it
// knows is compared with the Asynq in the program by [Probe]. It knows no
// records, sessions or pushes. Only jobs and the packages below it may call it.
package tasks
