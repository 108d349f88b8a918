#!/usr/bin/python3
"""The person of a session without a person: whatever the portal asks, the answer is the argument, yes or no.

Says "ready" once the portal is there, and a line with each question's words.
"""
import sys

import dbus
import dbus.mainloop.glib
import dbus.service
from gi.repository import GLib

NAME = "org.freedesktop.impl.portal.desktop.userdriver"
ALLOWED, REFUSED = 0, 1
ANSWER = {"yes": ALLOWED, "no": REFUSED}[sys.argv[1]]
AWAITED = {"org.freedesktop.impl.portal.PermissionStore", "org.freedesktop.portal.Desktop"}


class Access(dbus.service.Object):
    @dbus.service.method("org.freedesktop.impl.portal.Access", in_signature="osssssa{sv}", out_signature="ua{sv}")
    def AccessDialog(self, handle, application, window, title, subtitle, body, options):
        print(f"asked: {title} {subtitle}", flush=True)
        return dbus.UInt32(ANSWER), dbus.Dictionary({}, signature="sv")


def owned(name, owner):
    if owner and name in AWAITED:
        AWAITED.remove(name)
        if not AWAITED:
            print("ready", flush=True)


dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
bus = dbus.SessionBus()
access = Access(dbus.service.BusName(NAME, bus), "/org/freedesktop/portal/desktop")
watches = [bus.watch_name_owner(name, lambda owner, name=name: owned(name, owner)) for name in sorted(AWAITED)]
print("here", flush=True)
GLib.MainLoop().run()
