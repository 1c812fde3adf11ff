package delius

// FoldVersion is the version of what the fold and the diff make of the same events and rows.
// It is kept beside Delius: of two programs with different ones the older does not write, so
// that in a rolling deployment neither undoes what the other has written.
//
// Raise it with every change after which a history has another outcome. The test of the golden
// histories fails where that was forgotten.
const FoldVersion = 1
