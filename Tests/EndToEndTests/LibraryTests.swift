// What sandboxed programs are linked with: each library is code in a process that should have little, and one more thing to go wrong with a release.

import Foundation
import Spawn
import Testing

extension EndToEndTests {
    @Suite struct Libraries {
        /// The C library's, and what Swift's runtime needs of C++.
        private static let needed: Set<String> = [
            "linux-vdso", "ld-linux-x86-64", "ld-linux-aarch64", "libc", "libm", "libstdc++", "libgcc_s",
        ]

        @Test(arguments: ["webcam.driver/webcam-driver", "scanner.driver/scanner-driver", "usbip-proxy"])
        func aSandboxedProgramLoadsNothingThatItDoesNotNeed(program: String) async throws {
            // The loader lists what it would load, libraries of libraries too, and runs nothing.
            let listing = try await Programs.run(program, [], environment: ["LD_TRACE_LOADED_OBJECTS": "1"])
            #expect(listing.status == .exited(status: 0))
            let libraries = listing.text.split(separator: "\n").compactMap { $0.split(whereSeparator: \.isWhitespace).first }.map {
                String($0.split(separator: "/").last?.split(separator: ".").first ?? $0)
            }
            #expect(libraries.contains("libc"), "\(listing.text)")
            #expect(Set(libraries).subtracting(Self.needed).isEmpty, "\(listing.text)")
        }
    }
}
