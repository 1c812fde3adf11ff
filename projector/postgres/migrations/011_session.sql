-- Who has signed in to the console, by the hash of what their browser has. The console's role may
-- only insert: an end is a row, too. What has ended is forgotten by the projector.
create table projection.session (
    hash  bytea       primary key,
    who   text        not null,
    roles text[]      not null,
    began timestamptz not null,
    ends  timestamptz not null
);
create index session_ends on projection.session (ends);

create table projection.session_end (
    hash bytea       not null,
    at   timestamptz not null
);
create index session_end_hash on projection.session_end (hash);

---- create above / drop below ----

drop table projection.session, projection.session_end;
