-- Events of types that have no effect, which are counted all the time. It must name the same
-- types, in the same words, as the query does; types that are known later are in it, too.
create index event_other_type on projection.event (type) where type not in (
    'applications.cas2.application.submitted', 'applications.cas2.application.status-updated',
    'accommodation.cas3.referral.submitted',
    'accommodation.cas3.booking.provisionally-made', 'accommodation.cas3.booking.confirmed',
    'accommodation.cas3.booking.cancelled', 'accommodation.cas3.booking.cancelled.updated',
    'accommodation.cas3.person.arrived', 'accommodation.cas3.person.arrived.updated',
    'accommodation.cas3.person.departed', 'accommodation.cas3.person.departed.updated');

---- create above / drop below ----

drop index projection.event_other_type;
