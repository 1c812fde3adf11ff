-- How a row came to its person, where that was over a merge in Delius: by which CRN of
-- somebody merged away, and to whom. When the merge is undone such a row goes back.
alter table projection.contact
    add column placed_by text not null default '',
    add column placed_on bigint not null default 0;
alter table projection.address
    add column placed_by text not null default '',
    add column placed_on bigint not null default 0;
create index contact_placed on projection.contact (referral) where placed_by <> '';
create index address_placed on projection.address (booking) where placed_by <> '';

---- create above / drop below ----

alter table projection.contact drop column placed_by, drop column placed_on;
alter table projection.address drop column placed_by, drop column placed_on;
