-- Contacts that people had deleted when they were last looked at: they stay away also
-- where Delius loses their rows altogether, and then have none.
alter table projection.contact
    add column deleted boolean not null default false,
    alter column contact_id drop not null;
