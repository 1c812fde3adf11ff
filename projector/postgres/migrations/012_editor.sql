-- Who had changed a row last, and when, before the projector last wrote over that: it leaves its
-- own name there.
alter table projection.contact_fingerprint add column edited_user bigint, add column edited_at timestamptz;
alter table projection.address_fingerprint add column edited_user bigint, add column edited_at timestamptz;

---- create above / drop below ----

alter table projection.contact_fingerprint drop column edited_user, drop column edited_at;
alter table projection.address_fingerprint drop column edited_user, drop column edited_at;
