package tokenjar

// ChangesPasswords reports whether [Service.ChangePassword] can work: the users live in the store, which then replaces
// a password and ends sessions in one transaction. A program with a user table of its own changes passwords itself.
func (s *Service) ChangesPasswords() bool {
	_, ok := s.users.(UserAdmin)
	return ok && !s.ownUsers
}
