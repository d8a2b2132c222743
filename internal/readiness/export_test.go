package readiness

import "lastmile/internal/permission"

// JobCommands are the names of the commands that are tried for jobs.
func JobCommands() []string {
	var names []string
	for _, line := range permission.Commands(jobCommands) {
		if name := permission.Name(line); name[0] != '-' {
			names = append(names, name)
		}
	}
	return names
}
