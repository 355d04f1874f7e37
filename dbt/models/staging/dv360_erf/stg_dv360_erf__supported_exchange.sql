with

source as (

    select * from {{ source('dv360_erf', 'supported_exchange') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        _account_id as account_id,
        id as supported_exchange_id,

        -- attributes
        {{ text('name') }} as supported_exchange_name,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
