// Package requests carries out what somebody asked a projector to do: retry what is parked,
// repair, rebuild, restore the value of a conflict.
//
// Whoever asks inserts a request; every running projector takes those that wait, each one for
// as long as it renews its lease. All of them take the way that everything else takes: what is
// to be written is decided by the same step, under the same locks, and written by the same
// Apply. Where a plan was confirmed the step compares it with what it is about to write, and
// refuses if that is something else by now. The entry of the audit, and that the request is
// done, are written by the step's own transaction, if the request is still this process's: so a
// request is done once, whoever else had it, and however often it was begun.
//
// A rebuild of everyone is many transactions. One whose process is killed is taken over at its
// bookmark. What is asked of a rejected message is ingest's, and is asked of it through NATS;
// where the answer does not come it is asked again, which changes nothing that is done.
package requests
