// The same targets under libFuzzer, which steers by the code that an input reaches. Build, then name the target in the environment:
//   swift build -c release --sanitize fuzzer -Xswiftc -DLIBFUZZER --product fuzz --scratch-path .build/guided
//   FUZZ_TARGET=descriptors .build/guided/release/fuzz -max_total_time=3600 Tests/Corpus/descriptors

#if LIBFUZZER
    import Glibc

    enum LibFuzzer {
        // Set once by `LLVMFuzzerInitialize`, before the first input.
        nonisolated(unsafe) fileprivate static var target: any FuzzTarget.Type = FuzzTargets.all[0]
        // libFuzzer keeps the pointer for as long as the process lives.
        nonisolated(unsafe) fileprivate static var arguments: [UnsafeMutablePointer<CChar>?] = []

        /// Writes the seeds of the target into a folder for libFuzzer to read; its path, `nil` when that fails.
        fileprivate static func seedFolder() -> String? {
            var template = Array("/tmp/fuzz-seeds-XXXXXX".utf8CString)
            guard mkdtemp(&template) != nil else { return nil }
            let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
            for (number, seed) in target.seeds.enumerated() where !Files.write(seed, to: "\(folder)/seed-\(number)") { return nil }
            return folder
        }
    }

    @_cdecl("LLVMFuzzerInitialize")
    public func initializeFuzzer(
        _ count: UnsafeMutablePointer<CInt>, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>
    ) -> CInt {
        let name = getenv("FUZZ_TARGET").map { String(cString: $0) } ?? ""
        guard let wanted = FuzzTargets.all.first(where: { $0.name == name }) else {
            complain("FUZZ_TARGET in the environment names the target: \(FuzzTargets.all.map { $0.name }.joined(separator: ", "))")
            exit(2)
        }
        LibFuzzer.target = wanted
        guard let folder = LibFuzzer.seedFolder() else {
            complain("The seeds can't be written to /tmp: \(String(cString: strerror(errno)))")
            exit(1)
        }
        // The last argument: libFuzzer writes what it finds into the first folder that it is given.
        let given = (0..<Int(count.pointee)).map { arguments.pointee?[$0] }
        LibFuzzer.arguments = given + [strdup(folder), nil]
        count.pointee += 1
        arguments.pointee = LibFuzzer.arguments.withUnsafeMutableBufferPointer { $0.baseAddress }
        return 0
    }

    @_cdecl("LLVMFuzzerTestOneInput")
    public func fuzzOneInput(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
        LibFuzzer.target.run(Array(UnsafeBufferPointer(start: data, count: count)))
        return 0
    }
#endif
