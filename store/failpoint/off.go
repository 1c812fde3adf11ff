//go:build !torture

package failpoint

import "context"

// Enabled says whether this program has failpoints.
const Enabled = false

// Around does something, before and after which a fault can come in a program that has
// failpoints.
func Around(_ context.Context, _ Point, do func() error) error { return do() }

// Between queues statements, before and after which a fault can come likewise: what is queued
// with now comes where it stands among them.
func Between(_ context.Context, _ Point, _ func(now func() error), queue func()) { queue() }
