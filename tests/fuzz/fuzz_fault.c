// SPDX-License-Identifier: GPL-2.0
/* Any number as a fault: netlink carries it, so any number must have words. */
#include "fuzz.h"

static bool is_word(const char *s)
{
	return *s && strspn(s, "abcdefghijklmnopqrstuvwxyz-") == strlen(s);
}

int fuzz_one(const u8 *data, size_t size)
{
	struct fuzz_input in = { data, size };
	u32 number = fuzz_u32(&in);
	enum vhd_fault fault = (enum vhd_fault)number, other = (enum vhd_fault)fuzz_u8(&in);
	enum vhd_severity severity = vhd_fault_severity(fault);
	bool known = number < VHD_NR_FAULTS;

	MUST(is_word(vhd_fault_name(fault)) && *vhd_fault_str(fault));
	MUST(vhd_fault_errno(fault) <= 0 && vhd_fault_errno(fault) > -4096);
	MUST((vhd_fault_errno(fault) == 0) == (fault == VHD_OK));
	MUST(severity <= VHD_SEV_FATAL && (severity == VHD_SEV_NONE) == (fault == VHD_OK));
	MUST(known == !!strcmp(vhd_fault_name(fault), "unknown"));
	if (known && other < VHD_NR_FAULTS && fault != other)
		MUST(strcmp(vhd_fault_name(fault), vhd_fault_name(other)) &&
		     strcmp(vhd_fault_str(fault), vhd_fault_str(other)));
	return 0;
}
