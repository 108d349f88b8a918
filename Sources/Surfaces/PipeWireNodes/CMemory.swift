// Strings and arrays as C wants them, for as long as a call takes.

import Glibc

/// Keeps what it hands out until it goes.
final class CMemory {
    private var kept: [UnsafeMutableRawPointer] = []

    deinit { for pointer in kept { free(pointer) } }

    func string(_ text: String) -> UnsafePointer<CChar>? {
        guard let copy = strdup(text) else { return nil }
        kept.append(UnsafeMutableRawPointer(copy))
        return UnsafePointer(copy)
    }

    /// For values that need no clearing up.
    func array<Element: BitwiseCopyable>(_ values: [Element]) -> UnsafePointer<Element>? {
        guard !values.isEmpty, let memory = malloc(values.count * MemoryLayout<Element>.stride) else { return nil }
        kept.append(memory)
        let array = memory.bindMemory(to: Element.self, capacity: values.count)
        array.initialize(from: values, count: values.count)
        return UnsafePointer(array)
    }
}
