-- The projector's own tables. Those of the inbox can be made again from the stream at
-- any time. The ledger, memory and conflicts cannot: they know which values in Delius
-- are a person's.

-- The stream that the inbox was filled from.
create table projection.stream (
    one     boolean primary key default true check (one),
    created timestamptz not null
);

-- The inbox: every event once, as it was first stored.
create table projection.event (
    referral uuid        not null,
    type     text        not null collate "C",
    id       text        not null collate "C",
    sequence bigint      not null unique,
    crn      char(7),
    noms     char(7),
    emitted  timestamptz not null,
    occurred timestamptz,
    received timestamptz,
    stored   timestamptz not null,
    source   text        not null,
    sha256   bytea       not null,
    body     bytea       not null,
    primary key (referral, type, id)
);

-- Sequences of the stream that hold no event of their own: duplicates, and messages
-- that are no event.
create table projection.other_sequence (
    sequence   bigint  primary key,
    unreadable boolean not null
);

-- Which events have been applied to Delius.
create table projection.applied (
    sequence bigint      primary key,
    applied  timestamptz not null
);

-- Whom the events of a referral name: where to look for a person's referrals.
create table projection.identity (
    referral uuid not null,
    crn      char(7) not null default '',
    noms     char(7) not null default '',
    primary key (referral, crn, noms)
);
create index identity_crn on projection.identity (crn) where crn <> '';
create index identity_noms on projection.identity (noms) where noms <> '';

-- Referrals to look at again. A mark is set with the event and goes with the commit
-- of the step that has seen it.
create table projection.due (
    mark     bigint generated always as identity primary key,
    referral uuid not null,
    since    timestamptz not null default now()
);
create index due_referral on projection.due (referral);

-- The ledger: what was last applied to the rows that the projector owns.
create table projection.contact (
    urn         text primary key collate "C",
    referral    uuid   not null,
    contact_id  bigint not null unique,
    notes       text   not null,
    description text   not null,
    happened_at timestamptz,
    officer     text   not null,
    region      text   not null,
    staff       text   not null,
    provider    text   not null,
    team        text   not null,
    officer_code text  not null,
    baseless    boolean not null,
    events      bigint[] not null
);
create index contact_referral on projection.contact (referral);

create table projection.address (
    booking     uuid primary key,
    offender_address_id bigint not null unique,
    building    text not null,
    street      text not null,
    district    text not null,
    town        text not null,
    county      text not null,
    postcode    text not null,
    start_date  date,
    departure   date,
    provisional boolean not null,
    events      bigint[] not null
);

-- The status and end date that were last written to an address row, whosever it is.
create table projection.address_memory (
    offender_address_id bigint primary key,
    status  text not null,
    end_date date,
    own_end boolean not null,
    open    boolean not null
);

-- Every row that the projector wrote or adopted, as it left it. A row that has another
-- version or time since then was edited; one that differs without that was damaged. The
-- sum is over the whole row. content is the row itself where the ledger alone could not
-- make it again, because a person or another service had a hand in it.
create table projection.contact_seal (
    contact_id  bigint primary key,
    row_version bigint      not null,
    updated     timestamptz not null,
    offender_id bigint      not null,
    sum         bigint      not null,
    content     jsonb
);

create table projection.address_seal (
    offender_address_id bigint primary key,
    updated     timestamptz not null,
    offender_id bigint      not null,
    sum         bigint      not null,
    content     jsonb
);
create index address_seal_offender on projection.address_seal (offender_id);

-- Values of people's that events have replaced.
create table projection.conflict (
    conflict_id bigint generated always as identity primary key,
    crn         text not null,
    urn         text not null default '',
    offender_address_id bigint,
    field       text not null,
    replaced    text not null,
    with_value  text not null,
    events      text[] not null,
    at          timestamptz not null
);

create table projection.parked (
    referral uuid not null,
    urn      text not null collate "C",
    address  boolean not null,
    event    text not null collate "C",
    cause    text not null,
    problem  text not null,
    since    timestamptz not null,
    tries    int not null,
    retry_at timestamptz,
    primary key (referral, urn, address, event)
);
create index parked_retry on projection.parked (retry_at) where retry_at is not null;

-- The rebuild of everyone that runs, or was interrupted: who does it, and up to which
-- offender everyone is done.
create table projection.rebuild (
    one     boolean primary key default true check (one),
    worker  text        not null,
    since   timestamptz not null,
    started timestamptz not null,
    person  bigint      not null default 0,
    people  bigint      not null default 0,
    changed bigint      not null default 0
);

---- create above / drop below ----

drop table projection.rebuild, projection.parked, projection.conflict, projection.address_seal, projection.contact_seal, projection.address_memory, projection.address,
    projection.contact, projection.due, projection.identity, projection.applied,
    projection.other_sequence, projection.event, projection.stream;
