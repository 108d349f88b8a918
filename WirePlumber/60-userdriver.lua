-- WirePlumber 0.4: the nodes of userdriver-video (/dev/videoN, on the kernel's vhci_hcd) are not shown. userdriver-pipewire shows the same cameras.
table.insert(v4l2_monitor.rules, {
  matches = {
    {
      { "device.serial", "matches", "UserDriver_*" },
      { "device.sysfs.path", "matches", "*/vhci_hcd.*" },
    },
  },
  apply_properties = {
    ["device.disabled"] = true,
  },
})
