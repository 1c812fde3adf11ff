package projector

// Searches has a token when the search for gaps is to begin at once.
func (p *Projector) Searches() <-chan struct{} { return p.search }
