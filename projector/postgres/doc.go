// Package postgres is Delius and the projector's own tables in one PostgreSQL database.
//
// Delius's tables are in the schema delius and are never altered. The projector's are
// in the schema projection, made by [Migrate]:
//
//	event, other_sequence   the inbox: every event once, and the sequences without one
//	identity                whom the events of a referral name
//	due, applied            marks of what is to be looked at, and of what has been
//	contact, address        the ledger: what was last applied to the rows that are ours
//	address_memory          the status and end last written to an address row, whosever
//	contact_seal,           every row that the projector wrote or adopted, as it left it,
//	address_seal            which tells an edit from damage
//	conflict, parked        values that events replaced; what waits, with its cause
//	rebuild                 how far the rebuild of everyone has come, and who runs it
//	stream                  which stream the inbox was filled from
//
// The inbox can be made again from the stream. The ledger, memory, seals and conflicts cannot:
// without them rows are adopted again, and which of their values are a person's is
// forgotten. They belong into the database's backup.
//
// # Locks
//
// A step ([Database.Begin]) locks offenders FOR NO KEY UPDATE SKIP LOCKED, and later the
// contact and address rows that it is about to write in the same way, provided that they
// still are what was read. Before an address is written, all
// of that person's are held against what was read as well. The weaker lock lets others
// insert rows that refer to the person; FOR UPDATE would not, and would end in
// deadlocks with practitioners' own transactions. So no statement waits for a person, a
// contact or an address. The foreign keys of a row that is written may: for a member of
// staff or a team, say, that somebody holds FOR UPDATE. If that transaction waits for us
// as well, it is we who give up: [Config].LockTimeout is half of the second after which
// PostgreSQL looks for deadlocks, and ends whoever looked first. Rows of the projector's
// own tables are written in the order of their keys everywhere.
//
// For a referral whose person is not in Delius there is nobody to lock: an advisory lock of
// the referral takes that place.
//
// Nothing else keeps two contacts under one URN apart: Delius has no unique index
// there. The ledger has, and an entry that was not there when a step began is inserted,
// never replaced, so of two steps that would both insert a contact one runs again.
//
// # Statements
//
// The number of statements of a step does not depend on how many people it holds: rows
// travel as arrays. What is read together goes in one batch. To read a few people, as live
// events come, plans are kept; for many, as a rebuild takes them, they are made each time.
package postgres
