-- Damage of the stream: sequences of which it has lost the message, or whose body is not what its
-- checksum says. Whose referral that is, by subject or inbox, is held until it is mended or the
-- loss is accepted.
create table projection.damage (
    sequence bigint primary key,
    cause    text        not null check (cause in ('message-corrupt', 'message-gone')),
    referral uuid,
    crn      char(7),
    noms     char(7),
    since    timestamptz not null default now(),
    accepted timestamptz
);
create index damage_referral on projection.damage (referral) where accepted is null;

---- create above / drop below ----

drop table projection.damage;
