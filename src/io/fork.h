/* Fork: a word that the kernel wipes in a child (MADV_WIPEONFORK), so that a session knows without
 * a system call that it belongs to the parent. */
#ifndef CQL_IO_FORK_H
#define CQL_IO_FORK_H

#include <stdint.h>

/* Of this process, for a new session; 0: the kernel can't tell, and nothing is checked. */
uint64_t cql__fork_generation(void);
/* Is the session that got this generation a parent's? */
int cql__forked(uint64_t generation);

#endif
