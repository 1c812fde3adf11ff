-- Which fold has written last. Whoever writes reads it, and holds it until the commit; a
-- program with an older fold stands back.
create table projection.fold (
    one     boolean primary key default true check (one),
    version int not null
);
insert into projection.fold (version) values (1);

-- Referrals of people who met an unexpected error. What is said of it names nobody.
create table projection.failing (
    referral uuid primary key,
    problem  text        not null,
    since    timestamptz not null,
    tries    int         not null,
    next_try timestamptz not null
);

---- create above / drop below ----

drop table projection.fold, projection.failing;
