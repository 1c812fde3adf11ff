-- The rebuild's lock is a lease with a number, so that it holds behind a pooler, too, where no
-- connection is anybody's.
create sequence projection.rebuild_fence;
alter table projection.rebuild
    add column fence     bigint      not null default 0,
    add column lease_end timestamptz not null default '-infinity';

---- create above / drop below ----

alter table projection.rebuild drop column fence, drop column lease_end;
drop sequence projection.rebuild_fence;
