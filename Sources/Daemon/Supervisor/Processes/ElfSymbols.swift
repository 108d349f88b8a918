// Names of functions from an ELF file's symbol table: a reader of hostile files, 64-bit little-endian ones only.

import CLinux
import FileDescriptors
import Glibc

/// An ELF file, read piece by piece with bounds. It is never mapped: a file that shrinks under its reader must not end its reader.
struct ElfSymbols: ~Copyable {
    struct Match: Hashable, Sendable {
        /// As it stands in the table: mangled.
        var name: String
        /// Bytes past the function's start.
        var offset: UInt64
    }

    private struct Section {
        var type: UInt32
        var offset: UInt64
        var size: UInt64
        var link: UInt32
    }

    static let maximumSections = 4096
    static let maximumTableBytes = 64 << 20
    static let maximumNameBytes = 2048
    private static let symbolSize = 24
    /// Whole symbols.
    private static let pieceBytes = symbolSize * 2048
    private let file: OwnedDescriptor
    private let sections: [Section]

    /// Over a duplicate of a descriptor, as of a memfd.
    init?(duplicating descriptor: Int32) {
        guard let file = OwnedDescriptor(duplicating: descriptor), let sections = Self.sections(of: file.number) else { return nil }
        self.file = file
        self.sections = sections
    }

    /// The functions that the addresses (the file's, not a process's) lie in.
    func functions(at addresses: [UInt64]) -> [UInt64: Match] {
        // .symtab names everything, .dynsym what is exported.
        guard let table = sections.first(where: { $0.type == 2 }) ?? sections.first(where: { $0.type == 11 }),
            Int(table.link) < sections.count, table.size <= UInt64(Self.maximumTableBytes)
        else { return [:] }
        let strings = sections[Int(table.link)]
        var best: [UInt64: (value: UInt64, name: UInt32)] = [:]
        let size = Int(table.size)
        guard table.offset <= UInt64(Int64.max) - table.size else { return [:] }
        // Piece by piece: a table has megabytes, and this process has little memory.
        for start in stride(from: 0, to: size, by: Self.pieceBytes) {
            let count = min(Self.pieceBytes, size - start)
            guard let bytes = Self.read(file.number, at: table.offset + UInt64(start), count: count) else { return [:] }
            Self.find(addresses, in: bytes, &best)
        }
        var result: [UInt64: Match] = [:]
        for (address, symbol) in best {
            guard UInt64(symbol.name) < strings.size else { continue }
            let (position, overflow) = strings.offset.addingReportingOverflow(UInt64(symbol.name))
            let room = min(UInt64(Self.maximumNameBytes), strings.size - UInt64(symbol.name))
            guard !overflow, let name = Self.read(file.number, at: position, count: Int(room), mayBeShort: true) else { continue }
            let text = String(decoding: name.prefix { $0 != 0 }, as: UTF8.self)
            if !text.isEmpty { result[address] = Match(name: text, offset: address - symbol.value) }
        }
        return result
    }

    /// Looks for the innermost function around each address among the symbols of a piece of a table.
    private static func find(_ addresses: [UInt64], in bytes: [UInt8], _ best: inout [UInt64: (value: UInt64, name: UInt32)]) {
        bytes.withUnsafeBytes { bytes in
            for start in stride(from: 0, to: bytes.count - bytes.count % symbolSize, by: symbolSize) {
                let info = bytes[start + 4]
                // STT_FUNC, defined in a section.
                guard info & 0xf == 2, bytes.loadUnaligned(fromByteOffset: start + 6, as: UInt16.self) != 0 else { continue }
                let value = bytes.loadUnaligned(fromByteOffset: start + 8, as: UInt64.self)
                let size = bytes.loadUnaligned(fromByteOffset: start + 16, as: UInt64.self)
                for address in addresses where address >= value && address - value < max(size, 1) {
                    if let other = best[address], other.value >= value { continue }
                    best[address] = (value, bytes.loadUnaligned(fromByteOffset: start, as: UInt32.self))
                }
            }
        }
    }

    private static func sections(of file: Int32) -> [Section]? {
        var status = stat()
        guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        // ELF header: magic, class 2 (64 bits), data 1 (little endian).
        guard let header = read(file, at: 0, count: 64), header.starts(with: [0x7f, 0x45, 0x4c, 0x46, 2, 1]) else { return nil }
        return header.withUnsafeBytes { header -> [Section]? in
            let offset = header.loadUnaligned(fromByteOffset: 0x28, as: UInt64.self)
            let entrySize = Int(header.loadUnaligned(fromByteOffset: 0x3a, as: UInt16.self))
            let count = Int(header.loadUnaligned(fromByteOffset: 0x3c, as: UInt16.self))
            guard entrySize == 64, count > 0, count <= maximumSections, let table = read(file, at: offset, count: count * entrySize) else {
                return nil
            }
            return table.withUnsafeBytes { table in
                (0..<count).map { index in
                    let start = index * entrySize
                    return Section(
                        type: table.loadUnaligned(fromByteOffset: start + 4, as: UInt32.self),
                        offset: table.loadUnaligned(fromByteOffset: start + 24, as: UInt64.self),
                        size: table.loadUnaligned(fromByteOffset: start + 32, as: UInt64.self),
                        link: table.loadUnaligned(fromByteOffset: start + 40, as: UInt32.self))
                }
            }
        }
    }

    private static func read(_ file: Int32, at offset: UInt64, count: Int, mayBeShort: Bool = false) -> [UInt8]? {
        guard offset <= UInt64(Int64.max), count > 0 else { return nil }
        // What the file doesn't have is not allocated.
        var status = stat()
        guard fstat(file, &status) == 0, status.st_size > 0, offset < UInt64(status.st_size) else { return nil }
        let available = Int(min(UInt64(count), UInt64(status.st_size) - offset))
        guard available == count || mayBeShort else { return nil }
        var bytes = [UInt8](repeating: 0, count: available)
        var filled = 0
        while filled < available {
            let got = bytes.withUnsafeMutableBytes {
                pread(file, $0.baseAddress! + filled, available - filled, off_t(offset) + off_t(filled))
            }
            if got < 0 && errno == EINTR { continue }
            guard got > 0 else { return mayBeShort ? Array(bytes[..<filled]) : nil }
            filled += got
        }
        return bytes
    }
}
