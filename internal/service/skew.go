package service

import (
	"fmt"
	"time"
)

// skewMost is how far a program's clock may be from Redis's for the program to be
// ready.
const skewMost = 30 * time.Second

// CheckSkew returns an error when a program's clock is too far ahead of Redis's,
// or behind it.
func CheckSkew(ahead time.Duration) error {
	switch {
	case ahead >= skewMost:
		return fmt.Errorf("the clock is %v ahead of redis's", ahead.Round(time.Second))
	case ahead <= -skewMost:
		return fmt.Errorf("the clock is %v behind redis's", -ahead.Round(time.Second))
	}
	return nil
}
