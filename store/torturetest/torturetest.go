// Package torturetest is the frame of the tests that `make torture` runs: those of promises
// that take minutes to show. Each has the build tag torture, a name that begins with
// TestTorture, and beside it a control whose name begins with TestTortureControl: a broken
// variant that the very same check must catch, lest it prove nothing.
//
// A run may take so many minutes, which the variable TORTURE_ROUND of the environment says: 20
// for all of it, 5 for a short round. Tests do as large a part of their work as that is of
// the whole. Whatever is random comes from one seed, which SEED replays.
package torturetest

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// whole is how many minutes all of it may take.
const whole = 20

// Part is how much a run does of what the whole torture does n times: at least one.
func Part(tb testing.TB, n int) int {
	tb.Helper()
	return max(1, n*min(round(tb), whole)/whole)
}

// Length is how long a run does what the whole torture does for d.
func Length(tb testing.TB, d time.Duration) time.Duration {
	tb.Helper()
	return d * time.Duration(min(round(tb), whole)) / whole
}

// round is the number of minutes that this run may take.
func round(tb testing.TB) int {
	tb.Helper()
	return int(number(tb, "TORTURE_ROUND", whole))
}

// Random is a test's own source of random numbers: the same in each run with the same seed,
// which a test that fails prints.
func Random(tb testing.TB) *rand.Rand {
	tb.Helper()
	seed := number(tb, "SEED", rand.Uint64N(1_000_000)+1)
	tb.Logf("SEED=%d makes the same choices", seed)
	name := fnv.New64a()
	_, _ = name.Write([]byte(tb.Name())) // never fails
	return rand.New(rand.NewPCG(seed, name.Sum64()))
}

// number reads a variable of the environment that is a number above 0.
func number(tb testing.TB, variable string, otherwise uint64) uint64 {
	tb.Helper()
	text := cmp.Or(os.Getenv(variable), fmt.Sprint(otherwise))
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == 0 {
		tb.Fatalf("%s is %q: want a whole number above 0", variable, text)
	}
	return n
}

// Figure tells a number that the test has reached, in the form that is looked for when
// docs/promises.md is brought up to date.
func Figure(tb testing.TB, what string, n int) {
	tb.Helper()
	tb.Logf("figure: %s: %d", what, n)
}
