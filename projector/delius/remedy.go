package delius

// Causes lists every cause of parking.
func Causes() []Cause {
	return []Cause{
		BadDetail, BadAddress, PersonNotFound, PersonAmbiguous, PersonChanged,
		ManagerNotFound, ProviderNotFound, TeamNotFound, StaffNotFound, ContactTypeNotFound,
		MessageCorrupt, MessageGone,
	}
}

// Remedy is what a person can do about the cause. Whatever is retried heals by itself
// once that is done.
func (c Cause) Remedy() string {
	switch c {
	case BadDetail:
		return "ask CAS to raise a corrected event; this one is left out until then"
	case BadAddress:
		return "ask CAS to correct the premises, or enter the address by hand; the contact is written"
	case PersonNotFound:
		return "add the person to Delius, or have CAS correct the CRN"
	case PersonAmbiguous:
		return "merge the people in Delius who share the NOMS number, or have CAS send a CRN"
	case PersonChanged:
		return "delete the contact or address in Delius on the person who had it before"
	case ManagerNotFound:
		return "give the person an active manager in Delius"
	case ProviderNotFound:
		return "add the provider to Delius, or have CAS correct the recorder's region"
	case TeamNotFound:
		return "add the provider's team to Delius"
	case StaffNotFound:
		return "add the member of staff to Delius, or have CAS correct the recorder's code"
	case MessageCorrupt, MessageGone:
		return "restore the stream from its backup, or accept the loss with `projector verify --repair --accept-loss SEQUENCE`; nothing of the person is written until then"
	case Failing:
		return "look for the referral in the log, which has the whole error, and report it; it is tried again by itself"
	case ContactTypeNotFound:
		return "add the contact type to Delius's reference data"
	}
	return ""
}
