package inbox

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"casdelius/projector/delius"
	"casdelius/store"
)

// sqlDamaged notes messages of the stream that are damaged, and marks whose they are: by the
// inbox, where it has the event, else by subject and headers. A loss that was accepted stays so.
const sqlDamaged = `
with noted as (
	insert into projection.damage (sequence, cause, referral, crn, noms)
	select b.sequence, b.cause, coalesce(e.referral, b.referral), nullif(coalesce(e.crn::text, b.crn), ''), nullif(coalesce(e.noms::text, b.noms), '')
	from unnest($1::bigint[], $2::text[], $3::uuid[], $4::text[], $5::text[]) as b (sequence, cause, referral, crn, noms)
	left join projection.event e using (sequence)
	order by b.sequence
	on conflict (sequence) do update set cause = excluded.cause where damage.cause <> excluded.cause
	returning referral
)
insert into projection.due (referral) select distinct referral from noted where referral is not null order by 1`

// sqlMended forgets the damage of messages that are there, and marks whose they are.
const sqlMended = `
with mended as (
	delete from projection.damage where sequence = any ($1) returning referral
)
insert into projection.due (referral) select distinct referral from mended where referral is not null order by 1`

// queueDamage notes which of the messages are damaged, and that the others are not.
func queueDamage(b *pgx.Batch, messages []store.Stored) {
	var whole, sequences []int64
	var causes, crns, noms []string
	var referrals []*[16]byte
	var told []*store.Stored
	for i := range messages {
		m := &messages[i]
		sequence := int64(m.Sequence) //nolint:gosec // see put
		if !m.Damaged() {
			whole = append(whole, sequence)
			continue
		}
		cause := delius.MessageCorrupt
		if errors.Is(m.Err, store.ErrGone) {
			cause = delius.MessageGone
		}
		var referral *[16]byte
		if m.Referral != (store.Referral{}) {
			referral, told = (*[16]byte)(&m.Referral), append(told, m)
		}
		sequences, causes, referrals = append(sequences, sequence), append(causes, string(cause)), append(referrals, referral)
		crns, noms = append(crns, string(m.CRN)), append(noms, string(m.NOMS))
	}
	b.Queue(sqlMended, whole)
	if len(sequences) > 0 {
		b.Queue(sqlDamaged, sequences, causes, referrals, crns, noms)
		b.Queue(sqlPutIdentities, identitiesOf(told)...)
	}
}

// AcceptLoss implements verify.Mender.
func (i *Inbox) AcceptLoss(ctx context.Context, sequences []uint64) error {
	_, err := i.DB.Exec(ctx, `
		with accepted as (
			update projection.damage set accepted = now() where sequence = any ($1) and accepted is null returning referral, crn, noms
		)
		insert into projection.due (referral)
		select referral from accepted where referral is not null
		union select i.referral from accepted a join projection.identity i on i.crn = a.crn where i.crn <> ''
		union select i.referral from accepted a join projection.identity i on i.noms = a.noms where i.noms <> ''
		order by 1`, sequences)
	if err != nil {
		return fmt.Errorf("accepting the loss of %d messages: %w", len(sequences), err)
	}
	return nil
}
