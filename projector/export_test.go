package projector

// Searches is signalled when a history was found to lack events.
func (p *Projector) Searches() <-chan struct{} { return p.reconciler.search }
