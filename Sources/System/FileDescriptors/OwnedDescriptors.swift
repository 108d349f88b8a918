// Descriptors that came, or go, with one message.

import Glibc

/// Some descriptors that have one owner, as `OwnedDescriptor` has: all of them are closed when it goes. What one of them is for is known by its place.
public struct OwnedDescriptors: ~Copyable, Sendable {
    /// Lent, in their order.
    public private(set) var numbers: [Int32]

    /// Owns them from here on.
    public init(_ numbers: [Int32] = []) { self.numbers = numbers }

    deinit { for number in numbers { close(number) } }

    public var count: Int { numbers.count }
    public var first: Int32? { numbers.first }
    public subscript(_ place: Int) -> Int32 { numbers[place] }

    public mutating func append(_ descriptor: consuming OwnedDescriptor) { numbers.append(descriptor.handOver()) }

    /// The first gets an owner of its own; `nil` where there is none. The others move up.
    public mutating func takeFirst() -> OwnedDescriptor? { numbers.isEmpty ? nil : OwnedDescriptor(numbers.removeFirst()) }

    /// The last gets an owner of its own; `nil` where there is none.
    public mutating func takeLast() -> OwnedDescriptor? { numbers.popLast().map { OwnedDescriptor($0) } }

    /// Gives them away, open: to be closed by whoever takes the numbers.
    public consuming func handOver() -> [Int32] {
        let numbers = numbers
        self.numbers = []
        return numbers
    }
}
