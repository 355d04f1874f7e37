with

source as (

    select * from {{ source('dv360_erf', 'device_criteria') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        _account_id as account_id,
        id as device_criteria_id,
        operating_system_id,
        mobile_make_model_id,

        -- attributes
        {{ text('name') }} as device_criteria_name,
        criteria_type as criteria_type_code,
        is_mobile,
        {{ text('mobile_brand_name') }} as mobile_brand_name,
        {{ text('mobile_model_name') }} as mobile_model_name,
        device_type as device_type_code,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
