/* Microsoft's clouds: which host serves the API, where tokens come from, and for whom they must be.
 *
 *   const mde_cloud *cloud = mde_cloud_find((mde_slice){"gcc-high", 8});
 *   cloud->api, cloud->authority, cloud->audience
 *   mde_cloud_fits(cloud, authority)                    false: the login host of another cloud
 *
 * Facts: Microsoft's pages on the supported API hosts and on the US government's clouds. No page tells
 * the latter's audience: clients in the field ask for {API host}/.default. */
#ifndef MDE_CORE_CLOUD_H
#define MDE_CORE_CLOUD_H

#include "core/buffer.h"

#include <stdbool.h>

typedef struct mde_cloud {
  const char *name;
  const char *api;       /* origin */
  const char *authority; /* origin of the login host */
  const char *audience;  /* what tokens must be for; "/.default" behind it is the scope */
} mde_cloud;

/* The first one is the default. */
extern const mde_cloud mde_clouds[];
extern const size_t mde_cloud_count;

/* Each borrows a row that lives for ever; NULL: there is none. */
const mde_cloud *mde_cloud_find(mde_slice name);
const mde_cloud *mde_cloud_of_api(mde_slice origin);

/* Whether two clouds take each other's tokens. */
bool mde_cloud_akin(const mde_cloud *a, const mde_cloud *b);

/* May tokens for that cloud come from that login host? A host that nobody knows may. */
bool mde_cloud_fits(const mde_cloud *cloud, mde_slice authority);

#endif
