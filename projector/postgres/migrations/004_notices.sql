-- The outbox: one notice for each address row that a transaction inserted or changed, kept by
-- that transaction, until others have been told of it and for some days after.
create table projection.outbox (
    number      bigint generated always as identity primary key,
    offender_address_id bigint not null,
    offender_id bigint      not null,
    crn         text        not null,
    kind        text        not null check (kind in ('created', 'updated')),
    status      text        not null,
    occurred    timestamptz not null,
    cause       text        not null,
    trace       text        not null,
    tries       int         not null default 0,
    error       text        not null default '',
    next_try    timestamptz not null default '-infinity',
    holder      text        not null default '',
    lease_end   timestamptz not null default '-infinity',
    sent        timestamptz
) with (fillfactor = 70); -- leases come and go in place
create index outbox_waiting on projection.outbox (number) where sent is null;
create index outbox_waiting_person on projection.outbox (offender_id, number) where sent is null;
create index outbox_waiting_address on projection.outbox (offender_address_id, number) where sent is null;
create index outbox_sent on projection.outbox (sent) where sent is not null;

-- Whether notices are kept. Whoever writes reads it under an advisory lock that they share,
-- whoever changes it has that lock alone.
create table projection.notices (
    one  boolean primary key default true check (one),
    kept boolean not null
);
insert into projection.notices (kept) values (false);

---- create above / drop below ----

drop table projection.outbox, projection.notices;
