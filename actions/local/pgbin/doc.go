// Package pgbin finds the programs of a PostgreSQL server on this machine, and fetches them for the current
// user where none are installed. The demo and the tests share it.
//
// What counts as found is one folder that holds all of [Required], executable, all of one major version in
// [OldestMajor]..[NewestMajor]. Programs of two folders are never mixed: pg_rewind of another major than the
// server destroys a data folder rather than refusing it.
//
// Where it looks, in this order: TWOKEY_PGBIN, and then nowhere else, because somebody who names a folder
// wants to hear that it is unfit; PATH, seen through symbolic links, and pg_config --bindir; the usual folders
// of the distributions; what an earlier call fetched. Of several it takes the newest major, of one major the
// first seen.
//
// How it fails: [NotFoundError] lists what was looked at and why it was refused, and says in one line per
// platform what to install. Finding never writes anything. Fetching writes only below one cache folder, under
// a lock that holds across processes, and moves a complete installation into place with one rename: a killed
// fetch leaves rubbish that the next one removes, never half an installation.
//
// A server can't run as root. When the caller is root it will start servers as another user, so a folder that
// other users can't reach (below /root, say) doesn't count as found, and root fetches into /var/cache.
package pgbin
