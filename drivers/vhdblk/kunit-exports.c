// SPDX-License-Identifier: GPL-2.0
/*
 * What vhdblk_kunit.ko calls. All exports are here, so that format/ needs no
 * kernel header.
 */
#include <linux/export.h>
#include <linux/kconfig.h>
#include <linux/module.h>

#include "epoch.h"
#include "format/vhd_format.h"
#include "format/vhd_grow.h"
#include "format/vhd_relink.h"

#if IS_ENABLED(CONFIG_KUNIT)
#include <kunit/visibility.h>

#define VHD_EXPORT	EXPORT_SYMBOL_IF_KUNIT

/* fault.c */
VHD_EXPORT(vhd_fault_str);
VHD_EXPORT(vhd_fault_name);
VHD_EXPORT(vhd_fault_errno);
VHD_EXPORT(vhd_fault_severity);

/* footer.c */
VHD_EXPORT(vhd_footer_type);
VHD_EXPORT(vhd_footer_check);
VHD_EXPORT(vhd_footer_seal);
VHD_EXPORT(vhd_footer_choose);
VHD_EXPORT(vhd_footer_size_is_chs);
VHD_EXPORT(vhd_footer_size);
VHD_EXPORT(vhd_footer_init);

/* geometry.c */
VHD_EXPORT(vhd_geometry_of);
VHD_EXPORT(vhd_bitmap_sects);
VHD_EXPORT(vhd_blocks_needed);
VHD_EXPORT(vhd_layout_hits_metadata);
VHD_EXPORT(vhd_layout_init);
VHD_EXPORT(vhd_layout_set_batmap);
VHD_EXPORT(vhd_max_size);
VHD_EXPORT(vhd_slot_stride);
VHD_EXPORT(vhd_slot_align);
VHD_EXPORT(vhd_layout_end_aligned);

/* header.c */
VHD_EXPORT(vhd_header_check);
VHD_EXPORT(vhd_header_seal);
VHD_EXPORT(vhd_header_init);
VHD_EXPORT(vhd_header_set_name);
VHD_EXPORT(vhd_header_name);
VHD_EXPORT(vhd_create_layout);

/* locator.c */
VHD_EXPORT(vhd_utf16_to_utf8);
VHD_EXPORT(vhd_utf8_to_utf16);
VHD_EXPORT(vhd_locator_get);
VHD_EXPORT(vhd_locator_set);
VHD_EXPORT(vhd_locator_check);
VHD_EXPORT(vhd_locator_decode);
VHD_EXPORT(vhd_locator_encode);

/* link.c */
VHD_EXPORT(vhd_link_is_raw);
VHD_EXPORT(vhd_link_check);
VHD_EXPORT(vhd_link_time_differs);

/* bat.c */
VHD_EXPORT(vhd_bat_data_sect);
VHD_EXPORT(vhd_bat_entry_sects);
VHD_EXPORT(vhd_bat_entry_check);
VHD_EXPORT(vhd_bat_overlap);
VHD_EXPORT(vhd_bat_used_end);
VHD_EXPORT(vhd_batmap_map_bytes);
VHD_EXPORT(vhd_batmap_check);
VHD_EXPORT(vhd_batmap_map_checksum);

/* bitmap.c */
VHD_EXPORT(vhd_bitmap_test);
VHD_EXPORT(vhd_bitmap_set);
VHD_EXPORT(vhd_bitmap_clear);
VHD_EXPORT(vhd_bitmap_run);
VHD_EXPORT(vhd_bitmap_all_set);

/* map.c */
VHD_EXPORT(vhd_map_step);
VHD_EXPORT(vhd_bitmap_span);

/* plan.c */
VHD_EXPORT(vhd_plan_commit);
VHD_EXPORT(vhd_plan_extend);
VHD_EXPORT(vhd_plan_trim);
VHD_EXPORT(vhd_plan_footers);
VHD_EXPORT(vhd_plan_move_footer);
VHD_EXPORT(vhd_plan_next);

/* shift.c */
VHD_EXPORT(vhd_shift_init);
VHD_EXPORT(vhd_shift_next);

/* grow.c */
VHD_EXPORT(vhd_resize_init);
VHD_EXPORT(vhd_resize_next);

/* relink.c */
VHD_EXPORT(vhd_relink_init);
VHD_EXPORT(vhd_relink_next);

/* The driver's own */
VHD_EXPORT(vhd_epoch_init);
VHD_EXPORT(vhd_epoch_exit);

#endif /* CONFIG_KUNIT */
