-- What the console shows and asks for, beside what there is already.

-- Samples of the figures of how far everything is, one every few seconds by whichever projector
-- is first, and kept for an hour. The document is inspect.Figures.
create table projection.figure (
    at      timestamptz primary key,
    figures jsonb not null
);

-- Runs of verify, of everyone where crns is empty. One that has not ended is somebody's until
-- its lease ends.
create table projection.verified (
    verified  bigint generated always as identity primary key,
    who       text        not null,
    scheduled boolean     not null,
    repair    boolean     not null,
    crns      text[]      not null default '{}',
    began     timestamptz not null,
    lease_end timestamptz not null,
    ended     timestamptz,
    phase     text        not null default '',
    done      bigint      not null default 0,
    total     bigint      not null default 0,
    messages  bigint      not null default 0,
    contacts  bigint      not null default 0,
    addresses bigint      not null default 0,
    edited    bigint      not null default 0,
    damaged   bigint      not null default 0,
    undone    bigint      not null default 0, -- damage that stands, after a repair too
    unseen    bigint      not null default 0,
    error     text        not null default ''
);
create index verified_everyone on projection.verified (began) where crns = '{}';

-- What the newest of them found, so many findings at most. The document is inspect.FindingLine.
create table projection.verified_finding (
    verified bigint not null references projection.verified on delete cascade,
    number   int    not null,
    severity text   not null,
    crn      text   not null,
    finding  jsonb  not null,
    primary key (verified, number)
);

-- What somebody asked the projector to do, and what became of it. Whoever asks inserts the
-- columns up to why; the rest is the projector's that takes it.
create table projection.request (
    id        uuid        primary key,
    kind      text        not null check (kind in ('retry', 'repair', 'plan', 'rebuild', 'pause', 'resume', 'restore', 'reviewed', 'replay', 'dismiss')),
    target    jsonb       not null default '{}',
    plan_hash text        not null default '', -- of the plan that was confirmed
    who       text        not null check (who <> ''),
    why       text        not null,
    at        timestamptz not null default now(),
    state     text        not null default 'waiting' check (state in ('waiting', 'working', 'done', 'refused', 'failed')),
    holder    text        not null default '',
    lease_end timestamptz not null default '-infinity',
    tries     int         not null default 0,
    taken     timestamptz,
    ended     timestamptz,
    outcome   text        not null default '',
    result    jsonb
);
create index request_open on projection.request (at, id) where state in ('waiting', 'working');
create index request_at on projection.request (at, id);

-- Who did what, and looked at whom. Entries are added only.
create table projection.audit (
    audit    bigint generated always as identity primary key,
    at       timestamptz not null default clock_timestamp(),
    who      text        not null check (who <> ''),
    what     text        not null check (what <> ''),
    crn      text        not null default '',
    referral uuid,
    why      text        not null default '',
    detail   jsonb       not null default '{}',
    request  uuid
);
create index audit_crn on projection.audit (crn, audit) where crn <> '';
create index audit_request on projection.audit (request) where request is not null;

create function projection.keep_audit() returns trigger language plpgsql as $$
begin
    raise exception 'entries of projection.audit are added only: they are neither changed nor deleted' using errcode = 'insufficient_privilege';
end
$$;
create trigger audit_kept before update or delete or truncate on projection.audit
    for each statement execute function projection.keep_audit();

-- How far the rebuild is, for whoever looks; and whether it is to pause, which each chunk looks at.
alter table projection.rebuild
    add column phase       text        not null default '',
    add column phase_since timestamptz,
    add column phase_from  bigint      not null default 0, -- what was done when this process began the phase
    add column done        bigint      not null default 0,
    add column total       bigint      not null default 0,
    add column rate        int         not null default 0, -- events a second at most; 0 is no limit
    add column reached     timestamptz,
    add column paused_by   text        not null default '';

-- The value that was replaced, as it can be written back; who had last changed the row then, and
-- when; and what somebody made of the conflict since.
alter table projection.conflict
    add column value       jsonb,
    add column edited_user bigint,
    add column edited_at   timestamptz,
    add column settled     timestamptz,
    add column settled_as  text not null default '' check (settled_as in ('', 'reviewed', 'restored')),
    add column settled_by  text not null default '',
    add column settled_why text not null default '';
create index conflict_open on projection.conflict (conflict_id) where settled is null;
create index conflict_crn on projection.conflict (crn, conflict_id);
create index conflict_urn on projection.conflict (urn) where urn <> '';
create index conflict_address on projection.conflict (offender_address_id) where offender_address_id is not null;
create index conflict_at on projection.conflict (at, conflict_id);

create index parked_cause on projection.parked (cause, since, referral);
create index outbox_crn on projection.outbox (crn, number);

---- create above / drop below ----

drop index projection.outbox_crn, projection.parked_cause, projection.conflict_open, projection.conflict_crn, projection.conflict_urn,
    projection.conflict_address, projection.conflict_at;
alter table projection.conflict drop column value, drop column edited_user, drop column edited_at, drop column settled,
    drop column settled_as, drop column settled_by, drop column settled_why;
alter table projection.rebuild drop column phase, drop column phase_since, drop column phase_from, drop column done, drop column total,
    drop column rate, drop column reached, drop column paused_by;
drop table projection.audit, projection.request, projection.verified_finding, projection.verified, projection.figure;
drop function projection.keep_audit();
