package rows

import "casdelius/store"

// Fixed are the rows of reference data that every write needs.
type Fixed struct {
	CAS2, CAS3          int64 // users
	Inserted, Changed   int64 // business interactions
	A17, Main, Previous int64 // address type and statuses
}

// User is the one by whom a service's rows are written.
func (f *Fixed) User(of store.Service) int64 {
	if of == store.CAS2 {
		return f.CAS2
	}
	return f.CAS3
}

// Users are those by whom rows are written.
func (f *Fixed) Users() []int64 { return []int64{f.CAS2, f.CAS3} }
