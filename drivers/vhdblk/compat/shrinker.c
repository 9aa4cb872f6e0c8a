// SPDX-License-Identifier: GPL-2.0
/* Allocated by the kernel, with private data, since 6.7. REMOVE WITH 6.1 */
#include <linux/shrinker.h>
#include <linux/slab.h>

#ifdef VHDBLK_HAVE_SHRINKER_ALLOC
struct shrinker *vhd_shrinker_new(const char *name, void *data, vhd_shrink_fn *count,
				  vhd_shrink_fn *scan)
{
	struct shrinker *s = shrinker_alloc(0, "%s", name);

	if (!s)
		return NULL;
	s->private_data = data;
	s->count_objects = count;
	s->scan_objects = scan;
	shrinker_register(s);
	return s;
}

void *vhd_shrinker_data(struct shrinker *s)
{
	return s->private_data;
}

void vhd_shrinker_free(struct shrinker *s)
{
	shrinker_free(s);
}
#else
struct data_shrinker {
	struct shrinker shrinker;
	void *data;
};

struct shrinker *vhd_shrinker_new(const char *name, void *data, vhd_shrink_fn *count,
				  vhd_shrink_fn *scan)
{
	struct data_shrinker *d = kzalloc(sizeof(*d), GFP_KERNEL);

	if (!d)
		return NULL;
	d->data = data;
	d->shrinker.count_objects = count;
	d->shrinker.scan_objects = scan;
	d->shrinker.seeks = DEFAULT_SEEKS;
	if (!register_shrinker(&d->shrinker, "%s", name))
		return &d->shrinker;
	kfree(d);
	return NULL;
}

void *vhd_shrinker_data(struct shrinker *s)
{
	return container_of(s, struct data_shrinker, shrinker)->data;
}

void vhd_shrinker_free(struct shrinker *s)
{
	unregister_shrinker(s);
	kfree(container_of(s, struct data_shrinker, shrinker));
}
#endif
