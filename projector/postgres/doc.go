// Package postgres is Delius and the projector's own tables in one PostgreSQL database.
//
// Delius's tables are in the schema delius and are never altered. The projector's are
// in the schema projection, made by [Migrate]:
//
//	event, other_sequence   the inbox: every event once, and the sequences without one
//	identity                whom the events of a referral name
//	due, applied            marks of what is to be looked at, and of what has been
//	contact, address        the ledger: what was last applied to the rows that are ours
//	address_term            the status and end last written to an address row, whosever
//	contact_fingerprint,    every row that the projector wrote or adopted, as it left it,
//	address_fingerprint     which tells an edit from damage
//	conflict, parked        values that events replaced; what waits, with its cause
//	outbox                  what others are to be told of address rows, or were in the last days
//	notices                 whether that is kept at all
//	damage                  messages that the stream has lost, or that are corrupt
//	failing                 who met an unexpected error, and when they are tried again
//	fold                    the version of the fold that has written last
//	rebuild                 how far the rebuild of everyone has come, and who runs it
//	stream                  which stream the inbox was filled from
//	figure                  samples of how far everything was, of the last hour
//	verified,               runs of verify with what they came to, and what the newest found
//	verified_finding
//	request                 what somebody asked a projector to do, and what became of it
//	audit                   who did what, and looked at whom: added to only
//
// The inbox can be made again from the stream. The ledger, terms, fingerprints and conflicts
// cannot: without them rows are adopted again, and which of their values are a person's is
// forgotten. They belong into the database's backup.
//
// # The rooms
//
//	tx       transactions with their limits and plans, and which errors are transient
//	rows     the columns of each table, once, and values that PostgreSQL has and Go has not
//	inbox    the copy of the stream: filling it, who is due, checking it
//	people   who there is to reconcile, whose a referral may be, the rebuild lock
//	step     the transaction of a step: select, lock, load, hand over to write
//	write    the one writer of Delius: lock rows, write, ledger, fingerprints, audit
//	failing  who met an unexpected error
//	foldversion  which of two programs with different folds may write
//	outbox   the notices that package write keeps: taking, settling, forgetting them
//	verify   the ledger held against Delius and the inbox
//	lists    what is shown: histories, parked, conflicts
//
// A [Database] joins them. Connections set for themselves what decides what they read and
// write ([Settle]); what the role may not do and what the server should not be is found by
// [Database.MissingRights] and [Database.Weaknesses].
package postgres
