/* Preloaded into a server: while the file "slow-fsync" lies in its working
 * folder, which is the data folder, every fsync and fdatasync takes longer. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>

static void wait_for_the_disk(void) {
	if (access("slow-fsync", F_OK) == 0)
		usleep(150 * 1000);
}

int fsync(int fd) {
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
	wait_for_the_disk();
	return real(fd);
}

int fdatasync(int fd) {
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
	wait_for_the_disk();
	return real(fd);
}
