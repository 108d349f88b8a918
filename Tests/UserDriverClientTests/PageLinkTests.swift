// What a page has left of itself.

import Glibc
import Testing
import UserDriverClient

@Suite struct PageLinkTests {
    @Test func whatNobodyHoldsIsNoPage() throws {
        let folder = "/tmp/udt-link-\(UInt64.random(in: .min ... .max))"
        #expect(mkdir(folder, 0o700) == 0)
        defer { rmdir(folder) }
        let directory = RuntimeDirectory(folder)
        #expect(PageLink.find(in: directory) == nil)
        // A process is not in the way of a lock of its own: so this one's page is nobody's, too, as one is that has ended.
        PageLink.leave("http://127.0.0.1:1/?token=00", in: directory)
        var file = stat()
        #expect(stat(folder + "/web-link", &file) == 0 && file.st_mode & 0o777 == 0o600)
        #expect(PageLink.find(in: directory) == nil)
        unlink(folder + "/web-link")
        #expect(symlink("/etc/hostname", folder + "/web-link") == 0)
        PageLink.leave("http://127.0.0.1:1/?token=00", in: directory)
        #expect(PageLink.find(in: directory) == nil)
        unlink(folder + "/web-link")
    }
}
