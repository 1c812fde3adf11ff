-- Tables by the names of what they keep, and what a rebuild came to so far beside its bookmark.
alter table projection.contact_seal rename to contact_fingerprint;
alter table projection.address_seal rename to address_fingerprint;
alter index projection.address_seal_offender rename to address_fingerprint_offender;
alter table projection.address_memory rename to address_term;
alter table projection.rebuild add column tally jsonb not null default '{}';
update projection.rebuild set tally = jsonb_build_object('People', people, 'Changed', changed);
alter table projection.rebuild drop column changed;
